"""What a student receives: the lessons, their kit and the tiny trained models."""
