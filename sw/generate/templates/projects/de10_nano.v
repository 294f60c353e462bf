// {{ name }} on a Terasic DE10-Nano: the self-test, with its result on the LEDs.

module de10_nano (
    input wire clk50,
    input wire key0,        // 0 while it is pressed
    output wire [3:0] led   // from LED0: alive, finished, passed, failed
);

    reg [3:0] reset;
    initial reset = 4'hF;
    always @(posedge clk50) reset <= {reset[2:0], !key0};

    reg [24:0] count;
    initial count = 0;
    always @(posedge clk50) count <= count + 1'b1;

    wire finished, passed;
    {{ name }}_selftest selftest (.clk(clk50), .rst(reset[3]), .finished(finished), .passed(passed));

    assign led = {finished && !passed, passed, finished, count[24]};

endmodule
