"""The forms of messages, and how Discord stores them."""
