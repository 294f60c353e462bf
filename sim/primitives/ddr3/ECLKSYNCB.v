// ECP5's cell that stops an edge clock.

module ECLKSYNCB (
  input ECLKI, STOP,
  output ECLKO
);
  assign ECLKO = ECLKI & ~STOP;
endmodule
