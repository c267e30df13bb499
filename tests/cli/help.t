Every command has help that fits into 80 columns, ends with a newline and goes to standard output.

  $ a3s-box --help | sed -n 's/^  \([a-z][a-z-]*\) .*/\1/p' | while read -r c; do
  >     a3s-box "$c" --help >out 2>err || echo "$c: status $?"
  >     [ -s out ] || echo "$c: no help"
  >     [ ! -s err ] || echo "$c: help on stderr"
  >     awk -v c="$c" 'length > 80 { print c ": line of " length " columns: " $0 }' out
  >     head -n 1 out | grep -q "^Usage:  a3s-box $c" || echo "$c: no usage line"
  >     [ -z "$(tail -c 1 out)" ] || echo "$c: no newline at the end"
  > done
  $ a3s-box --help | awk 'length > 80'
  $ a3s-box --help | grep -c '^  [a-z][a-z-]*  ' | awk '{ print ($1 >= 15) ? "many" : "few" }'
  many

The same with -h, but for run and create, where it is docker's --hostname.

  $ a3s-box help | sed -n 's/^  \([a-z][a-z-]*\) .*/\1/p' | grep -vE '^(run|create)$' | while read -r c; do
  >     [ "$(a3s-box "$c" -h)" = "$(a3s-box "$c" --help)" ] || echo "$c: -h is not --help"
  > done

Commands of groups have their own name in their help.

  $ for g in container image system; do
  >     a3s-box "$g" | sed -n 's/^  \([a-z][a-z-]*\) .*/\1/p' | while read -r c; do
  >         a3s-box "$g" "$c" --help | head -n 1 | grep -q "^Usage:  a3s-box $g $c" || echo "$g $c"
  >     done
  > done
