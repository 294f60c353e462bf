// ECP5's output pin; one that does not drive is pulled up.

module OBZ (input I, T, output O);
  assign O = I | T;
endmodule
