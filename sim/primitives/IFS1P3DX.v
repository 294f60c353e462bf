// ECP5's input register at a pin, without its reset.

module IFS1P3DX (input SCLK, SP, CD, D, output reg Q);
  initial Q = 1'b0;
  always @(posedge SCLK) begin
    if (CD) $fatal(1, "IFS1P3DX or OFS1P3DX: this model has no reset");
    if (SP) Q <= D;
  end
endmodule
