"""Operations: payments that are sent later. They are accepted, attempted, and ended."""
