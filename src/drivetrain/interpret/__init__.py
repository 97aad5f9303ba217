"""What a model says: functions of a frame and of what predicts it."""
