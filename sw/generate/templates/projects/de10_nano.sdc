create_clock -name clk50 -period 20.000 [get_ports clk50]
derive_clock_uncertainty
set_false_path -from [get_ports key0]
set_false_path -to [get_ports led*]
