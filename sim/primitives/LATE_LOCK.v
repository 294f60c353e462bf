// Of the models of clock generators: a lock that comes some cycles late, as on the devices.

module LATE_LOCK (input CLK, output LOCK);
  reg [3:0] count = 0;
  assign LOCK = count[3];
  always @(posedge CLK)
    if (!count[3]) count <= count + 1;
endmodule
