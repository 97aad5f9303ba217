"""What a bundle of texts is made of: its guard, its answers, its card, and how it is written."""
