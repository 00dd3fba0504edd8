"""Networks of libraries by name: ``hf:vit``, ``ultralytics:yolo11n``, ``monai:UNet(...)`` and what packages add."""
