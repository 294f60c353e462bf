    // What the processor's own way to that memory would be
    task model_write(input [30:0] address, input [3:0] mask, input [31:0] data);
        integer number;
        for (number = 0; number < 4; number = number + 1)
            if (mask[number]) model[address + number] = data[8 * number +: 8];
    endtask

    task model_read(input [30:0] address, output [31:0] data);
        integer number;
        for (number = 0; number < 4; number = number + 1)
            data[8 * number +: 8] = model[address + number];
    endtask
