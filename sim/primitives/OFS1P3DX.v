// ECP5's output register at a pin, which is one as that of inputs is.

module OFS1P3DX (input SCLK, SP, CD, D, output Q);
  IFS1P3DX register (.SCLK(SCLK), .SP(SP), .CD(CD), .D(D), .Q(Q));
endmodule
