-- Card-shaped tokens stand among the fingerprints: one key over both, so that no token equals another one, or a card
-- number of the vault. NULL: the fingerprint is that of the token's value; else that of the digits here.
ALTER TABLE fingerprints ADD COLUMN card_token text;
