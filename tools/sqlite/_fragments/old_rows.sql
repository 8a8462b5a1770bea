-- Condition: the row is old. Columns hold numbers beside texts if they are let, and every number is less than any text: against
-- a cut-off that is a text only texts count.

{date_column} < :cutoff AND (typeof({date_column}) = 'text' OR typeof(:cutoff) <> 'text'){filters}
