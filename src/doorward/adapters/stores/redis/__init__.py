"""What several nodes share, in Redis or Valkey: tickets, rates, slots and presence over one link."""
