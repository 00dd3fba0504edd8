"""Classification: does the field cover the image, which layers can still add context, what do shortcuts do."""
