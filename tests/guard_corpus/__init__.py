"""A corpus of ordinary documents, half of them with a card number: how often is the guard wrong?"""
