// ECP5's output register of two bits a cycle, for a pin that carries a clock: what comes is what
// is at its inputs, not a cycle later, as these are constants.

module ODDRX1F (input SCLK, RST, D0, D1, output Q);
  assign Q = SCLK ? D0 : D1;
endmodule
