-- GCRA in one step, to the last bit as core/rates.py computes it; the key is gone once its TAT has passed.
-- KEYS: the rate's. ARGV: window, whole burst, cost (seconds all), look ("1": charge nothing), now ("": ours),
-- milliseconds to keep it beyond the TAT.
local window, burst, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local now = tonumber(ARGV[5])
if not now then
    local time = redis.call('TIME')
    now = time[1] + time[2] / 1000000
end
local kept = redis.call('GET', KEYS[1])
local tat = kept and tonumber(kept) or nil
if tat ~= tat then
    tat = nil
end
local had = tat
if not tat or tat < now then
    tat = now
elseif tat - now > window then
    -- the clock has stepped back: at worst it is as after a burst (RAT-06)
    tat = now + burst
end

local function keep(value)
    local life = math.ceil((value - now) * 1000) + tonumber(ARGV[6])
    redis.call('SET', KEYS[1], string.format('%.17g', value), 'PX', string.format('%d', math.max(life, 1)))
end

local after = tat + cost
if after - now <= window then
    if ARGV[4] ~= '1' then
        keep(after)
    end
    return '0'
end
if had and tat ~= had then
    keep(tat)
end
return string.format('%.17g', after - now - burst)
