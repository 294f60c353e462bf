// ECP5's plain flip-flop, as the register of an output's enable is made.

module FD1S3AX (input CK, D, output reg Q);
  initial Q = 1'b0;
  always @(posedge CK) Q <= D;
endmodule
