// Gowin's output pin; one that does not drive is pulled up.

module TBUF (input I, OEN, output O);
  assign O = I | OEN;
endmodule
