-- Condition: the row is old. Columns hold numbers beside texts if they are let, and every number is less than any text: against
-- a cut-off that is a text only texts count. (`typeof` of the column would say so as well, and take a tenth of a deletion's time.
-- The `+` keeps this half from being taken for a range of the index on the date, which would lead away from the key.)

{date_column} < :cutoff AND +{date_column} >= CASE typeof(:cutoff) WHEN 'text' THEN '' ELSE -9e999 END{filters}
