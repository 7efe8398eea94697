"""The words of other toolkits over the same verbs: code and configs that were written for them run here."""
