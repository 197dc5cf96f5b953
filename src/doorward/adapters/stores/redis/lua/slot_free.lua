-- Give slots back. Unknown ones are fine.
-- KEYS: live, the process's hash. ARGV: process, connections…
local freed = 0
for at = 2, #ARGV do
    freed = freed + free(ARGV[1], ARGV[at])
end
return freed
