// ECP5's output register at a pin, without its reset.

module OFS1P3DX (input SCLK, SP, CD, D, output reg Q);
  initial Q = 1'b0;
  always @(posedge SCLK) begin
    if (CD) $fatal(1, "OFS1P3DX: this model has no reset");
    if (SP) Q <= D;
  end
endmodule
