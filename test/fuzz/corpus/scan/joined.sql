SELECT e'a' -- more
 '\'', 1; SELECT n'\'' , nextval('x') -- '
, '