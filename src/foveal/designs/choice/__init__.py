"""Which of the candidates that fit is the one to take, and why."""
