// ECP5's choice of an edge clock for both sides of the device.

module ECLKBRIDGECS (
  input CLK0, CLK1, SEL,
  output ECSOUT
);
  assign ECSOUT = SEL ? CLK1 : CLK0;
endmodule
