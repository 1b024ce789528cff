"""What the centre seals, and how it checks what others sealed."""
