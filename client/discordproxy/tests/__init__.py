"""Things for the tests of applications; nothing here is run by the product."""
