//! Quotas per key, named policies, request guards, and the tower layer that answers 429 as clients expect.
