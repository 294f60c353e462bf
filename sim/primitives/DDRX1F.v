// ECP5's registers at pins for two bits a cycle, from Lattice's description (FPGA-TN-02035), without
// their reset, and the delay beside them, which is none here: a pin is looked at far from its edges.

// The bit at a rising edge is Q0 and that at the falling edge behind it Q1, both from the next rising
// edge on.
module IDDRX1F (input SCLK, RST, D, output reg Q0, Q1);
  reg rising = 1'b0, falling = 1'b0;
  initial {Q0, Q1} = 2'b00;
  always @(posedge SCLK) begin
    if (RST) $fatal(1, "IDDRX1F: this model has no reset");
    rising <= D;
    Q0 <= rising;
    Q1 <= falling;
  end
  always @(negedge SCLK) falling <= D;
endmodule

// Both bits are taken at a rising edge. D0 comes while the clock is high, D1 while it is low.
module ODDRX1F (input SCLK, RST, D0, D1, output Q);
  reg first = 1'b0, second = 1'b0;
  always @(posedge SCLK) begin
    if (RST) $fatal(1, "ODDRX1F: this model has no reset");
    first <= D0;
    second <= D1;
  end
  assign Q = SCLK ? first : second;
endmodule

module DELAYG #(parameter DEL_MODE = "USER_DEFINED", parameter DEL_VALUE = 0) (
  input A, output Z
);
  assign Z = A;
endmodule
