// ECP5's divider of an edge clock, for simulation in cycles of the clock that it makes: nothing
// runs by the faster one there.

module CLKDIVF #(
  parameter GSR = "DISABLED", parameter DIV = "2.0"
) (
  input CLKI, RST, ALIGNWD,
  output CDIVX
);
  assign CDIVX = CLKI & ~RST;
endmodule
