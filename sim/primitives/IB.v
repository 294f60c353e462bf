// ECP5's input pin.

module IB (input I, output O);
  assign O = I;
endmodule
