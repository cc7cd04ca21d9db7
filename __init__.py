"""MuWNet on FER2013: a TFX pipeline from CSV to a gated, pushed SavedModel."""
