# vivado -mode batch -source build.tcl [-tclargs PART]; PART is that of the board with the A7-35T,
# or xc7a100tcsg324-1 for the one with the A7-100T.
set part xc7a35ticsg324-1L
if {[info exists argc] && $argc > 0} {
    set part [lindex $argv 0]
}
set here [file dirname [file normalize [info script]]]
set out [file join $here build]
file mkdir $out
# writes.hex and checks.hex are here.
cd [file join $here ..]

read_verilog [list [file join $here .. .. {{ name }}.v] {{ name }}_selftest.v [file join $here arty_a7.v]]
read_xdc [file join $here arty_a7.xdc]
synth_design -top arty_a7 -part $part
opt_design
place_design
phys_opt_design
route_design
report_utilization -hierarchical -file [file join $out utilization.txt]
report_timing_summary -file [file join $out timing.txt]
set slack [get_property SLACK [get_timing_paths -delay_type max]]
puts "worst slack: $slack ns"
if {$slack < 0} {
    error "the clock is not met: see [file join $out timing.txt]"
}
write_bitstream -force [file join $out arty_a7.bit]
