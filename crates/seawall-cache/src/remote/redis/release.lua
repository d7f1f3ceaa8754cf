-- ARGV: channel, token (8 bytes). Returns Redis's clock.
local held = lease()
if held and held.token == ARGV[2] then
  end_lease(held)
end
return now
