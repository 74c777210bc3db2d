# Of the files in a control file of libFuzzer's -set_cover_merge=1, names those that together reach the
# most, one after the other: each time the one that adds most to what the others reach.
#
#   awk -v files=64 -v each=4096 -v together=98304 -f cover.awk CONTROL
#
# The control file has the number of files, another number, the names, and of each file a line
# `STARTED number size` and a line `FT number feature...`.
NR == 1 { count = $1 }
NR > 2 && NR <= count + 2 { name[NR - 3] = $0 }
$1 == "STARTED" { size[$2] = $3 }
$1 == "FT" && size[$2] <= each { gain[$2] = NF - 2; features[$2] = $0 }

# How much a file adds to what is reached.
function adds(file, words, n, i, sum) {
  n = split(features[file], words, " ")
  for (i = 3; i <= n; i++) sum += !(words[i] in reached)
  return sum + 0
}

END {
  while (files > 0) {
    best = -1
    for (file in gain) if (best < 0 || gain[file] > gain[best]) best = file
    if (best < 0 || gain[best] == 0) exit
    # What was counted before can only have become less.
    now = adds(best)
    if (now < gain[best]) { gain[best] = now; continue }
    delete gain[best]
    if (size[best] > together) continue
    print name[best]
    n = split(features[best], words, " ")
    for (i = 3; i <= n; i++) reached[words[i]]
    together -= size[best]
    files--
  }
}
