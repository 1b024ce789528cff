// Matches nothing but files that were made to be found: a harmless marker, for trying a scan.
rule quell_demo_marker {
  meta:
    description = "Harmless marker of Quell's demo"
  strings:
    $marker = "QUELL-DEMO-MARKER-this-file-is-harmless"
  condition:
    $marker
}
