// ECP5's way to the pin MCLK, the clock of the flash that it starts from. The pin is no port of the
// design: who simulates it looks at `pin` in here.

module USRMCLK (input USRMCLKI, USRMCLKTS);
  wire pin = USRMCLKTS ? 1'b0 : USRMCLKI;
endmodule
