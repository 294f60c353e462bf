// Gowin's pin of both directions.

module IOBUF (input I, OEN, output O, inout IO);
  assign IO = OEN ? 1'bz : I;
  assign O = IO;
endmodule
