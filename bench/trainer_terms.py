"""The terms on which all trainers train."""

BATCH, EPOCHS, SIZE, LR = 32, 2, 224, 0.01
CLASSES = 4
