"""What the doctor looks for, one module for each kind of trouble."""
