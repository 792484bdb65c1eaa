-- Shared by the scripts of the overlay (prepended to them): a field of an overlay as a table, and back.
-- A value is "<changes to come>:<ms of the last write>:<JSON>": the number of changes whose events are still to come, and
-- what readers show while there are any. JSON is empty when the object was deleted, "?" when its state is unknown.
-- Unless the shown change is the only one to come, each of them follows in a line, in the order of the writes:
-- "<ms of the write><kind><JSON>"; kind ":" is an object as written, "+" changed roles of a member, added up.
-- Events of an object come in order, too, so each change waits for its own event behind those before it. Only the last
-- change would not do: the events before it may show the same state on the way to another one.
local UNKNOWN = '?'

-- Returns the kind of the changes that a field holds.
local function kind_of(field) return string.find(field, ':roles', 1, true) and '+' or ':' end

-- Returns {written_ms, text = JSON to show, pending = {{ms, kind, json}...}}.
local function parse_change(field, value)
  local head, lines = string.match(value, '^([^\n]*)(.*)$')
  local count, written_ms, text = string.match(head, '^(%d+):(%d+):(.*)$')
  local change = {written_ms = tonumber(written_ms), text = text, pending = {}}
  for ms, kind, json in string.gmatch(lines, '\n(%d+)([:+])([^\n]*)') do
    change.pending[#change.pending + 1] = {ms = tonumber(ms), kind = kind, json = json}
  end
  if #change.pending == 0 and tonumber(count) > 0 then
    change.pending[1] = {ms = change.written_ms, kind = kind_of(field), json = text}
  end
  return change
end

local function format_change(change)
  local pending = change.pending
  local words = {string.format('%.0f:%.0f:%s', #pending, change.written_ms, change.text)}
  if #pending > 1 or (pending[1] and pending[1].json ~= change.text) then
    for _, each in ipairs(pending) do
      words[#words + 1] = string.format('%.0f', each.ms) .. each.kind .. each.json
    end
  end
  return table.concat(words, '\n')
end
