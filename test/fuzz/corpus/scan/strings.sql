SELECT E'a\'b', e'\\', U&'\0041' UESCAPE '!', U&"d\0061t", $$a$$, $t$ $$ $u$ $t$, N'x', B'01', X'ff', 'a'
  'b', 'a\', 'c'