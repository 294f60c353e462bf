// iCE40 UltraPlus' single-port RAM block of 16384 words of 16 bits, from Lattice's description of it
// (TN1314): one access a cycle, a word read comes behind the clock edge, a bit of the mask writes
// four bits of the word. What the description leaves open is noise: the contents at the start, and
// the output behind a write. Standby, sleep and power off stop the simulation.

module SB_SPRAM256KA (
  input CLOCK, CHIPSELECT, WREN, STANDBY, SLEEP, POWEROFF,
  input [13:0] ADDRESS,
  input [15:0] DATAIN,
  input [3:0] MASKWREN,
  output [15:0] DATAOUT
);
  reg [15:0] words [0:16383];
  reg [15:0] word;
  assign DATAOUT = word;

  wire [15:0] mask = {{4{MASKWREN[3]}}, {4{MASKWREN[2]}}, {4{MASKWREN[1]}}, {4{MASKWREN[0]}}};

  integer i;
  initial begin
    word = 16'h5EED;
    for (i = 0; i < 16384; i = i + 1)
      words[i] = 16'hC0DE ^ (i * 16'h9E37);
  end

  always @(posedge CLOCK) begin
    if (CHIPSELECT) begin
      if (WREN) begin
        words[ADDRESS] <= (words[ADDRESS] & ~mask) | (DATAIN & mask);
        word <= ~word;
      end else
        word <= words[ADDRESS];
    end
    if (STANDBY || SLEEP || !POWEROFF)
      $fatal(1, "SB_SPRAM256KA: this model does not know standby, sleep and power off");
  end
endmodule
