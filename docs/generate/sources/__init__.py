"""The facts that the pages show: contract, limits of fields, comments, texts in the code."""
